"""The kit of Kintsugi: everything a service needs so that its own code is only its domain."""
