"""What is known of a day that was imported."""
