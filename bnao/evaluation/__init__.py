"""What a network can do: trained by itself, or by shared weights."""
