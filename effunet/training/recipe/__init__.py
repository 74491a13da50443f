"""What is minimised and how: losses, class weights, optimizer, schedule, freezing, average."""
