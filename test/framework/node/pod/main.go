// Command pod is what runs in the pods of test clusters, by the name that it is called:
//
//	pause      holds the pod's namespaces
//	web        serves HTTP on port 80: its environment's NAME
//	curl URL   prints what an HTTP server says, or fails
//	nslookup NAME   prints the addresses of a name
//	etcdctl --endpoints=URL --cacert=FILE --cert=FILE --key=FILE endpoint health   as etcd's, which nobody can build here
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

func main() {
	var err error
	switch name := filepath.Base(os.Args[0]); {
	case name == "pause":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
		<-stop
	case name == "web":
		err = web()
	case name == "curl" && len(os.Args) == 2:
		err = curl(os.Args[1])
	case name == "nslookup" && len(os.Args) == 2:
		err = nslookup(os.Args[1])
	case name == "etcdctl":
		err = health(os.Args[1:])
	default:
		err = fmt.Errorf("%q: neither pause, web, curl URL nor nslookup NAME", os.Args)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func web() error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	s := http.Server{Addr: ":80", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, os.Getenv("NAME")) })}
	go func() {
		<-stop
		_ = s.Shutdown(context.Background())
	}()
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func curl(url string) error {
	client := http.Client{Timeout: 3 * time.Second}
	r, err := client.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	_, err = io.Copy(os.Stdout, r.Body)
	return err
}

func nslookup(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, name)
	for _, a := range addrs {
		fmt.Println(a)
	}
	return err
}

// health asks an etcd whether it is well, by its own word at /health.
func health(args []string) error {
	flags := flag.NewFlagSet("etcdctl", flag.ContinueOnError)
	url := flags.String("endpoints", "", "")
	ca := flags.String("cacert", "", "")
	cert := flags.String("cert", "", "")
	key := flags.String("key", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if got := flags.Args(); !slices.Equal(got, []string{"endpoint", "health"}) {
		return fmt.Errorf("%q: only endpoint health is known", got)
	}
	pem, err := os.ReadFile(*ca)
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}}
	r, err := client.Get(*url + "/health")
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is unhealthy: %s", *url, r.Status)
	}
	return nil
}
