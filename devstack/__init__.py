"""Local stand-ins that speak the production protocols, the data generator and the demo."""
