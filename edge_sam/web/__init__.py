"""A page that segments photographs in the browser, and the clicks of the Gradio demo."""
