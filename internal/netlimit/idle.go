package netlimit

// SetIdle says whether a connection waits for nothing but that its peer may have
// another request. One that is idle is closed as soon as another connection could
// be served in its place, the one that is idle the longest first. HTTP clients
// are prepared for that, and many keep a connection that they hardly use.
func (c *conn) SetIdle(idle bool) {
	p := c.group.pool
	p.mu.Lock()
	switch {
	case !idle || c.closed:
		p.notIdle(c)
		idle = false
	case c.idle == nil:
		c.idle = p.idle.PushBack(c)
	}
	p.mu.Unlock()
	if idle {
		p.closeIdle()
	}
}

// notIdle is called with the mutex.
func (p *Pool) notIdle(c *conn) {
	if c.idle != nil {
		p.idle.Remove(c.idle)
		c.idle = nil
	}
}

// closeIdle closes an idle connection, if that lets one be served that waits.
func (p *Pool) closeIdle() {
	if c := p.takeIdle(); c != nil {
		c.Close()
	}
}

func (p *Pool) takeIdle() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := p.idle.Front(); e != nil && p.waiting > 0; e = e.Next() {
		if c := e.Value.(*conn); c.group.makesRoom() {
			p.notIdle(c)
			return c
		}
	}
	return nil
}

// makesRoom reports whether the end of one of the group's connections lets one
// be served that waits: of the group itself, or of any as it is nobody's share.
func (g *Group) makesRoom() bool { return g.waiting > 0 || g.open > g.share }
