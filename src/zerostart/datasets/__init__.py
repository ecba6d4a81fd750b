"""What people bring: cards, images and annotations, checked and read into one form."""
