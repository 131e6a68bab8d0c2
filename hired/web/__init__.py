"""The page: layout, handlers, theme, sharing. The only package that knows gradio.

It does not know torch: everything it shows comes from `hired.comparison`.
"""
