"""An oracle that says where switching models is unsafe, and a reader that turns what it judges into core values."""
