"""One reader for each framework: its layers and models as ours; asked when the framework is loaded."""
