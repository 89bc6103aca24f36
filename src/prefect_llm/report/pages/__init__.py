"""Figures as people read them: Markdown, HTML, terminal, charts."""
