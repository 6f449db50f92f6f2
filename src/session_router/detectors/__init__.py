"""What a text gives away: detectors may raise its label, and never lower it."""
