"""The user's own prompts: files of several kinds, and the templates in them."""
