"""How requests travel: asked one by one, or handed in and collected later."""
