"""What ./stack does on the operator's machine. Only the standard library and deploy/; never copied into an image."""
