package nsqadmin

// apiRoutes adds the JSON API.
func (s *httpServer) apiRoutes() {}
