package nsqd

import "net/http"

func (s *httpServer) routes() http.Handler { return http.NotFoundHandler() }
