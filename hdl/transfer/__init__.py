"""The load and store units: memory words to scratchpads and back."""
