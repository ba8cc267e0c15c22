package nsqadmin

import "net/http"

// overview is the front page.
func (s *httpServer) overview(w http.ResponseWriter, r *http.Request) {
	s.page(w, r, http.StatusOK, "overview", page{Title: "Overview", Nav: "overview"})
}
