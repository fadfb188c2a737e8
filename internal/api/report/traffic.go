package report

// A Traffic is how many answers there have been in a short time, the most first.
type Traffic struct {
	Seconds   float64   `json:"seconds"` // for how long they were counted
	PerSecond float64   `json:"per_second"`
	Total     int       `json:"total"` // rows that there are, also beyond those that were asked for
	Answers   []Answers `json:"answers"`
}

// Answers are those about one service with one scope and outcome. Those about no service, such as of
// names that there aren't, have only the last two.
type Answers struct {
	Federation string  `json:"federation,omitempty"`
	Kind       string  `json:"kind,omitempty"`
	Namespace  string  `json:"namespace,omitempty"`
	Name       string  `json:"name,omitempty"`
	Scope      string  `json:"scope"`
	Outcome    string  `json:"outcome"`
	PerSecond  float64 `json:"per_second"`
}
