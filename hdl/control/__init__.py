"""The host's side: registers, runs, counters, watchdog."""
