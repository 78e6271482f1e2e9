"""What to do next. Pure: the world and now in; actions, next status and next look out."""
