"""The memories on chip."""
