"""Questions to a trained model, answered by measurement and by intervention: a file for each question."""
