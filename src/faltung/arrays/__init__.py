"""The functions on NumPy arrays: ft.conv1d and so on."""
