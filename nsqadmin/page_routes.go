package nsqadmin

// pageRoutes adds the pages.
func (s *httpServer) pageRoutes() {}
