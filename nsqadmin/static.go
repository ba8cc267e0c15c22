package nsqadmin

// staticRoutes adds the files of the pages.
func (s *httpServer) staticRoutes() {}
