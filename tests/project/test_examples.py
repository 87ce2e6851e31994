"""Every example runs, and prints and plots what the cookbooks document. The scripts follow their transcripts."""

import random
import re
import runpy

import pytest
from support.product_codes import QUERIES
from support.repository import EXAMPLES

from agentkit.testing import cite, reply

# The page's answers hold no-break spaces as indentation, and citations that begin with the quote before a code.
INDENT = "\N{NO-BREAK SPACE} \N{NO-BREAK SPACE} "
ANSWERS = [
    f"""```json
[
{INDENT}{{
{INDENT}{INDENT}"urn": ["urn:75f2b737-06dd-4399-9206-a6c11b65138e"],
{INDENT}{INDENT}"objref": ["GLCMS004AGTCAMIS", "GLCHL000CGUCHALE"],
{INDENT}{INDENT}"nmgs": ["0000234GLCMS0100ANORAKCAA"]
{INDENT}}}
]
```""",
    """```json
[
    {
        "taxonomies": [
            "SPORT"
        ]
    }
]
```""",
    f"""```json
[
{INDENT}{{
{INDENT}{INDENT}"objref": ["GLBRL0000GACHALE"],
{INDENT}{INDENT}"nmgs": ["0000234GLCZD0000GUREDTOAA"]
{INDENT}}},
{INDENT}{{
{INDENT}{INDENT}"taxonomies": ["CARS"]
{INDENT}}}
]
```""",
]
PLANS = [
    "I will use the regex_extractor tool to extract the codes from the user query.",
    "I will use the regex_extractor tool to extract the relevant information from the user request.",
    "I will use the regex_extractor tool to extract the codes from the user query. Then, I will create a JSON for each "
    "of the key-value pairs in the dictionary.",
]
CITED = [
    ["urn:75f2b737-06dd-4399-9206-a6c11b65138e", "GLCMS004AGTCAMIS", "GLCHL000CGUCHALE", "0000234GLCMS0100ANORAKCAA"],
    [],
    ["GLBRL0000GACHALE", "0000234GLCZD0000GUREDTOAA"],
]
API_REQUESTS = [
    said
    for query, plan, answer, cited in zip(QUERIES, PLANS, ANSWERS, CITED, strict=True)
    for said in (
        reply(plan=plan, calls=[("regex_extractor", {"user_query": query})]),
        reply(answer, citations=[cite(f'"{code}', call=0) for code in cited]),
    )
]
REQUESTS = [
    "[{'urn': ['urn:75f2b737-06dd-4399-9206-a6c11b65138e'], 'objref': ['GLCMS004AGTCAMIS', 'GLCHL000CGUCHALE'], "
    "'nmgs': ['0000234GLCMS0100ANORAKCAA']}]",
    "[{'taxonomies': ['SPORT']}]",
    "[{'objref': ['GLBRL0000GACHALE'], 'nmgs': ['0000234GLCZD0000GUREDTOAA']}, {'taxonomies': ['CARS']}]",
]


def run_example(name: str) -> None:
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


@pytest.mark.cassette(
    name="api_requests",
    script=API_REQUESTS,
    follows='the outputs on the page of Cohere\'s cookbook "Building an LLM Agent with the Cohere API"',
)
def test_api_requests(capsys):
    run_example("api_requests")
    printed = capsys.readouterr().out
    assert [
        line.removeprefix("The API request: ") for line in printed.splitlines() if "API request" in line
    ] == REQUESTS
    assert re.findall(r"  (\w+Request\(.*\))", printed) == [
        "NmgsRequest(nmgs=['0000234GLCMS0100ANORAKCAA'], page=0, size=10)",
        "ObjrefRequest(objref=['GLCMS004AGTCAMIS', 'GLCHL000CGUCHALE'], page=0, size=10)",
        "UrnRequest(urn=['urn:75f2b737-06dd-4399-9206-a6c11b65138e'], page=0, size=10)",
        "TaxonomiesRequest(taxonomies=['SPORT'], page=0, size=10)",
        "NmgsRequest(nmgs=['0000234GLCZD0000GUREDTOAA'], page=0, size=10)",
        "ObjrefRequest(objref=['GLBRL0000GACHALE'], page=0, size=10)",
        "TaxonomiesRequest(taxonomies=['CARS'], page=0, size=10)",
    ]
    for plan in PLANS:
        assert plan in printed
    assert "{'tool_name': 'regex_extractor', 'parameters': {'user_query': 'I need tennis products'}}" in printed
    assert '"objref": [<co: 0>"GLCMS004AGTCAMIS</co: 0>", <co: 0>"GLCHL000CGUCHALE</co: 0>"]' in printed


# --- the second cookbook: the same three questions under four ways to remember -------------------------------


def python(code: str, plan: str):
    return reply(plan=plan, calls=[("python_interpreter", {"code": code})])


# The page prints df.columns, whose repr differs between versions of pandas; a list does not.
COLUMNS = [
    python(
        "import pandas as pd\n\ndf = pd.read_csv('revenue_table.csv')\n\nprint(list(df.columns))",
        "I will use python to read the CSV file and extract the column names.",
    ),
    reply(
        "The column names in the CSV file are:\n- Unnamed: 0\n- time\n- revenue\n- loss",
        citations=[cite(name, call=0) for name in ("Unnamed: 0", "time", "revenue", "loss")],
    ),
]
GUESS = (
    "import pandas as pd\nimport matplotlib.pyplot as plt\n\ndata = pd.read_csv('{}')\n\n# Plot revenue numbers\n"
    "plt.plot(data['revenue'])\n\nplt.savefig('revenue_plot.png')"
)
PLOT = (
    "import pandas as pd\nimport matplotlib.pyplot as plt\n\ndf = pd.read_csv('revenue_table.csv')\n\n"
    "plt.plot(df['time'], df['revenue']{})\nplt.xlabel('time')\nplt.ylabel('revenue')\n"
    "{}plt.savefig('revenue_plot.png')"
)
PLOTTED = [
    python(PLOT.format("", ""), "I will plot the revenue numbers over time with matplotlib."),
    reply("Here is the plot of the revenue numbers over time, saved as revenue_plot.png."),
]
NONE = [
    *COLUMNS,
    reply("Hello, could you please clarify what data you would like to see plotted?"),
    reply("Could you please tell me which plot you would like to change?"),
]
ONLY_ANSWERS = [
    *COLUMNS,
    python(
        GUESS.format("data/sample.csv"),
        "I will copy and paste the code from the previous conversation and add code to plot the revenue numbers.",
    ),
    python(
        GUESS.format("sample.csv"),
        "The code is throwing an error because the file doesn't exist in the specified location. I will amend the file "
        "path and re-run the code.",
    ),
    python(
        GUESS.format("../data/sample.csv"), "The file path is still incorrect. I will amend it and re-run the code."
    ),
    reply(
        "The file path provided is incorrect. Please provide the correct file path so that I can plot the revenue "
        "numbers. I have tried '../data/sample.csv' but this also doesn't work.",
        citations=[cite("incorrect", call=[0, 1, 2])],
    ),
    reply("I have no plot yet: please provide the path of the file with the revenue numbers first."),
]
DIALOGUE = [
    *COLUMNS,
    *PLOTTED,
    python(
        PLOT.format(", marker='o'", "plt.ylim(0, 1000)\nplt.grid(True)\n"),
        "I will write the code to plot the revenue numbers with a y axis from 0 to 1000.",
    ),
    reply("Here is the plot with a y axis from 0 to 1000, saved as revenue_plot.png."),
]
OBJECTS = [
    *COLUMNS,
    *PLOTTED,
    python(
        PLOT.format("", "plt.ylim(0, 1000)\n"),
        "I will take the code of the previous plot and set the limits of the y axis.",
    ),
    reply("Here is the same plot with the y axis from 0 to 1000, saved as revenue_plot.png."),
]


@pytest.mark.cassette(
    name="short_term_memory",
    script=[*NONE, *ONLY_ANSWERS, *DIALOGUE, *OBJECTS],
    follows='the outputs on the page of Cohere\'s cookbook "Short-Term Memory Handling for Agents", steps 2 and 3, and '
    "what its text says of the later steps",
)
def test_short_term_memory(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_example("short_term_memory")
    printed = capsys.readouterr().out
    assert "['Unnamed: 0', 'time', 'revenue', 'loss']" in printed
    assert printed.count("No such file or directory") == 3
    assert (
        "\n[objects] The plot is in objects_revenue_plot.png.\n[objects] Its y axis runs from 0 to 1000.\n" in printed
    )
    assert printed.endswith(
        "What each way to remember led to:\n"
        "  none      no plot\n"
        "  answers   no plot\n"
        "  dialogue  a plot with the new axis; of the plot before, 8 of 9 lines kept\n"
        "  objects   a plot with the new axis; of the plot before, 9 of 9 lines kept\n"
    )
    plots = sorted(tmp_path.iterdir())
    assert [p.name for p in plots] == ["dialogue_revenue_plot.png", "objects_revenue_plot.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in plots)


# --- the deterministic path ------------------------------------------------------------------------------------


@pytest.mark.cassette(
    name="structured_requests",
    script=['{"taxonomies": ["SPORT"]}', '{"taxonomies": ["CARS"]}', '{"taxonomies": ["TRUCKS"]}'],
    follows="what the first cookbook's page chooses for these questions, as a bare choice; the last question is new",
)
def test_structured_requests(capsys):
    run_example("structured_requests")
    printed = capsys.readouterr().out
    assert re.findall(r"model calls: (\d)", printed) == ["0", "0", "1", "1", "1"]
    assert re.findall(r"  (\w+Request\(.*\))", printed) == [
        "UuidRequest(uuid=['7410e652-639d-402e-984e-8fd7025f0aac', '8bb21b93-2ddf-4a63-af63-ddb6b1be49a1'], "
        "page=0, size=10)",
        "ObjrefRequest(objref=['GLPNT0005GUJOGGE', 'GLSBR000BGASOBRE'], page=0, size=10)",
        "NmgsRequest(nmgs=['0000234GLCHL0200ARTINDIUS'], page=0, size=10)",
        "ObjrefRequest(objref=['GLCMS004AGTCAMIS', 'GLCHL000CGUCHALE'], page=0, size=10)",
        "NmgsRequest(nmgs=['0000234GLCMS0100ANORAKCAA'], page=0, size=10)",
        "UrnRequest(urn=['urn:75f2b737-06dd-4399-9206-a6c11b65138e'], page=0, size=10)",
        "TaxonomiesRequest(taxonomies=['SPORT'], page=0, size=10)",
        "ObjrefRequest(objref=['GLBRL0000GACHALE'], page=0, size=10)",
        "NmgsRequest(nmgs=['0000234GLCZD0000GUREDTOAA'], page=0, size=10)",
        "TaxonomiesRequest(taxonomies=['CARS'], page=0, size=10)",
        "TaxonomiesRequest(taxonomies=['TRUCKS'], page=0, size=10)",
    ]
    assert "not a code: GLBRL0000GACHALEXX has more letters or digits after it" in printed


@pytest.mark.cassette(
    name="orders",
    script=["ORD-000123 on 2024-11-09, ORD-000777 on 2024-11-01."],
    follows="the rows the example makes up",
)
def test_orders(capsys):
    run_example("orders")
    printed = capsys.readouterr().out
    # Counted and added up from the generator's own numbers: every fortieth of a thousand is broken.
    dice, euros = random.Random(7), []
    for _ in range(1000):
        dice.random()
        euros.append(int(dice.random() * 9000) + 100.5)
        dice.random()
    assert f"1000 notes, 975 orders, EUR {sum(euros):.2f}" in printed
    assert "25 notes with a broken number" in printed
    assert "near miss       order: 'ORD-00040'" in printed
    assert printed.endswith("ORD-000123 on 2024-11-09, ORD-000777 on 2024-11-01.\n[1 model call]\n")


def test_every_example_is_tested():
    names = {path.stem for path in EXAMPLES.glob("*.py")} - {"__init__"}
    assert names == {
        "api_requests",
        "short_term_memory",
        "structured_requests",
        "orders",
        "langchain_history",  # test_memory_langchain.py
        "langchain_agent",  # test_memory_langchain.py
    }


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_short(path):
    assert len(path.read_text().splitlines()) <= 60
