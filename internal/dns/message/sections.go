package message

// Sections are the records of an answer that was put together elsewhere, whole: for a name in a
// domain, whose records they are.
type Sections struct {
	Answer, Authority, Additional []Owned
	Rcode                         byte
	Referral                      bool // the answer isn't the domain's to give (no AA)
}

// Owned are records of one name and one type.
type Owned struct {
	Owner   *Target // nil: the name that is asked for
	Type    uint16
	Records []Record
}

// Sections writes an answer that was put together elsewhere. It is false if that doesn't fit: what is left out
// then is who put it together to say.
func (r *Reply) Sections(s *Sections) bool {
	r.rcode, r.authority = s.Rcode, !s.Referral
	return r.place(answers, s.Answer, &r.an) && r.place(authority, s.Authority, &r.ns) && r.place(additional, s.Additional, &r.ar)
}

// Authority writes the authority section of an answer, or what is to be added to it. It is false if that doesn't fit.
func (r *Reply) Authority(sets []Owned) bool { return r.place(authority, sets, &r.ns) }

// place writes records into a section.
func (r *Reply) place(to section, sets []Owned, count *int) bool {
	if len(sets) == 0 {
		return true
	}
	if to != r.part && !r.section(to) {
		return false
	}
	for i := range sets {
		s := &sets[i]
		n, ok := r.some(func() {
			if s.Owner == nil {
				r.owned()
				return
			}
			r.target(s.Owner)
		}, s.Type, s.Records)
		if !ok {
			return false
		}
		*count += n
	}
	return true
}

// Return ends what was written of a name that CNAME records of another domain led to: of that only the answer section
// is kept. What follows is the other domain's, of the name that is asked for. n is how many records are in
// the answer; it isn't ok where more was to be said.
func (r *Reply) Return(d *Domain, x *Extras) (n int, rcode byte, ok bool) {
	if r.cut || r.signed || !r.authority {
		return 0, 0, false
	}
	if r.part != answers {
		r.b, r.part = r.b[:r.answered], answers
	}
	r.ns, r.ar = 0, 0
	r.note(nil, x)
	r.stand(&r.q.Name, HeaderSize)
	r.d = d
	r.by(d)
	return r.an, r.rcode, len(r.b) <= r.limit
}
