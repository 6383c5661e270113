"""What ft.compile returns: plans made callable on arrays."""
