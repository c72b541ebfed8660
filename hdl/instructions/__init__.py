"""From program memory to the units: fetch, dispatch, tokens."""
