"""What stands between the network and the routes: who may call, how often, how much, for how long."""
