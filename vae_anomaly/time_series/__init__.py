"""Time series: sliding windows, and a detector that scores each time point by its windows."""
