"""The fleet's commands: one file for each noun, of which a call loads one, and imports that wait until a command needs them."""
