"""Time series: windows over them, and a detector that scores every time point by its windows."""
