"""Reading models: anybody's layers, models, calls and data, run on shapes; nothing here knows of faults."""
