"""What the front-ends share: ft.accelerate, and the report of what it did."""
