"""The demo's sessions in Phoenix, on this machine."""
