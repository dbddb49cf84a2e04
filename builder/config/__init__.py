"""Values of one build and the text that fills them; nothing here starts a process."""
