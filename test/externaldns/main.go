// Command externaldns is external-dns, as its own main begins it.
package main

import "sigs.k8s.io/external-dns/controller"

func main() { controller.Execute() }
