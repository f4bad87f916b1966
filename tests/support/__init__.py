"""What test modules of different folders share."""
