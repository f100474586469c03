"""Builds a small Java program of the tests: its jars from Maven Central, by the pom.xml beside it."""
import shutil
import subprocess


def build(source, out):
    """Fetches the jars of source's directory and compiles source into `out`, unless that was done before. Returns the words that run it."""
    pom = source.parent / "pom.xml"
    stamp = out / "built"
    if not stamp.exists() or any(s.stat().st_mtime > stamp.stat().st_mtime for s in (source, pom)):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        fetch = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={out / 'jars'}", "-DincludeScope=runtime"]
        subprocess.run(fetch, check=True, timeout=600)
        subprocess.run(["javac", "-d", str(out), "-cp", f"{out / 'jars'}/*", str(source)], check=True, timeout=300)
        stamp.touch()
    return ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", f"{out}:{out / 'jars'}/*", source.stem]
