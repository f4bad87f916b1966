"""The commands of ./stack, one module each; cli/main.py describes what a module contains."""
