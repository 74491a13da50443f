"""What each word after `effunet` does; the words and their options are in effunet.cli."""
