"""What travels between the rooms: frozen values and the error tree. Standard library only."""
