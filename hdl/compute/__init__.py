"""The compute unit: sequencers and datapath around the scratchpads."""
