// Command image makes the container image of fedns, fedsync and fedctl, with no engine, no
// registry and nobody's base image: programs that need no libraries need no system around
// them.
//
// It writes an OCI layout with an index of all platforms, and for each an archive that
// docker load and ctr image import take. Made twice of one commit, by one version of Go,
// all of it is the same to the byte.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// repository is what the image is called until somebody pushes it to a registry.
const repository = "localhost/fedns"

// most is what a platform's layers may have, compressed: half a minute at 10 Mbit/s.
const most = 40_000_000

func main() {
	root := flag.String("root", ".", "the `folder` of the repository")
	out := flag.String("out", "bin/image", "the `folder` to write to, which is emptied first")
	platforms := flag.String("platforms", "linux/amd64,linux/arm64", "which `ones`")
	version := flag.String("version", "", "what the programs say they are; none: as git describes the commit")
	cyclonedx := flag.String("cyclonedx", "", "the `program` cyclonedx-gomod, which lists what each program is made of; none: that isn't listed")
	flag.Parse()
	if err := run(*root, *out, strings.Split(*platforms, ","), *version, *cyclonedx); err != nil {
		fmt.Fprintf(os.Stderr, "image: %v\n", err)
		os.Exit(1)
	}
}

func run(root, out string, platforms []string, version, cyclonedx string) error {
	made, err := sourceOf(root, version)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	licences, err := texts(root)
	if err != nil {
		return err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range platforms {
		platform, err := v1.ParsePlatform(p)
		if err != nil {
			return err
		}
		programs := filepath.Join(out, "programs", platform.OS+"-"+platform.Architecture)
		if err := build(root, programs, *platform, made); err != nil {
			return err
		}
		if cyclonedx != "" {
			if err := list(cyclonedx, filepath.Join(out, "sbom"), programs, *platform, made); err != nil {
				return err
			}
		}
		img, err := image(licences, programs, *platform, made, zstd)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		loaded, err := image(licences, programs, *platform, made, gzipped)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		size, err := compressed(img)
		if err != nil {
			return err
		}
		if size > most {
			return fmt.Errorf("%s: it has %d bytes, compressed; it may have %d", p, size, most)
		}
		archive := filepath.Join(out, fmt.Sprintf("fedns-%s-%s.tar", platform.OS, platform.Architecture))
		if err := save(archive, loaded, made.tag()); err != nil {
			return err
		}
		digest, err := img.Digest()
		if err != nil {
			return err
		}
		fmt.Printf("%s  %s  %.1f MB compressed  %s\n", p, digest, float64(size)/1e6, archive)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: platform}})
	}
	// The index is the one thing that the layout holds, as buildx has it: what names it is
	// then a name of all platforms.
	path, err := layout.Write(filepath.Join(out, "oci"), mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	if err != nil {
		return err
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": made.version,
		"io.containerd.image.name":          repository + ":" + made.version,
	})); err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	fmt.Printf("index  %s  %s\n", digest, path)
	return nil
}

// compressed is what a registry has to send for an image.
func compressed(img v1.Image) (sum int64, err error) {
	m, err := img.Manifest()
	if err != nil {
		return 0, err
	}
	for _, l := range m.Layers {
		sum += l.Size
	}
	return sum + m.Config.Size, nil
}

// save writes an archive. It has one tag: the library puts several in an order that
// differs from run to run.
func save(path string, img v1.Image, tag string) error {
	ref, err := name.NewTag(repository + ":" + tag)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(path, ref, img)
}

// A source is what an image is made of.
type source struct {
	version, revision string
	time              time.Time
	release           bool // it has a version that no other commit has
}

func sourceOf(root, version string) (s source, err error) {
	git := func(args ...string) (string, error) {
		out, err := exec.Command("git", append([]string{"-C", root}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	described, nogit := git("describe", "--tags", "--always", "--dirty")
	s.version = cmp.Or(version, described, "devel")
	if s.revision, err = git("rev-parse", "HEAD"); err != nil {
		s.revision = ""
	}
	_, tagged := git("describe", "--tags", "--exact-match")
	s.release = version != "" || tagged == nil && !strings.HasSuffix(described, "-dirty")
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		if epoch, err = git("log", "-1", "--format=%ct"); err != nil {
			return s, errors.Join(errors.New("this is no checkout of git, and SOURCE_DATE_EPOCH isn't set: the image has no time"), nogit)
		}
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return s, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	s.time = time.Unix(seconds, 0).UTC()
	return s, nil
}

// tag is that of an archive. What isn't released has the one that the chart asks for.
func (s source) tag() string {
	if s.release {
		return s.version
	}
	return "devel"
}
