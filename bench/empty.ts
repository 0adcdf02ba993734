// The floor of every compiled program: what it costs to start and end without doing anything.
export {};
