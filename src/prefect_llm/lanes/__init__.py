"""How requests travel: asked one by one, or submitted and collected later."""
