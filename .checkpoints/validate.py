"""python validate.py MODEL PAGES [THREADS]: all tokens, one question of each kind, validation pictures, whole answers."""
import sys, collections, torch, numpy as np
from pathlib import Path
from hired.shapes.train.assemble import build_model, build_processor, load_weights
from hired.shapes.train.seen import Seen, packing
from hired.shapes.train.packed_questions import Spelling, score
from hired.shapes.train.vision_stage import run
from hired.shapes.train.clip_init import FEATURE_BLOCK
from hired.shapes.pictures import ask_about, render
folder, n = Path(sys.argv[1]), int(sys.argv[2]); torch.set_num_threads(int(sys.argv[3]) if len(sys.argv)>3 else 1)
m=build_model()
if folder.suffix==".pt": m.load_state_dict(torch.load(folder,weights_only=True)["model"])
else: load_weights(m, folder)
p=build_processor(); sp=Spelling(p.tokenizer); tot=collections.Counter(); good=collections.Counter(); docs=[0,0]
for split in ("receipt","prices","board","chart","sparse","large"):
    seen,asked=[],[]
    for i in range(5000, 5000+(n if split in("receipt","prices","board","chart") else n//3)):
        pic,qs=ask_about(split,i,7,"validation")
        x=p.image_processor(render(pic),return_tensors="pt")
        with torch.no_grad(): s,_=run(m.model.vision_tower,x["pixel_values"][0],FEATURE_BLOCK+1)
        f=s[-1][:,1:].flatten(0,1); o=torch.tensor(packing(m,len(x["pixel_values"][0]),x["image_sizes"]),dtype=torch.int32)
        seen.append(Seen(pic,f[o.clamp(min=0)].masked_fill((o<0)[:,None],0),o)); asked.append(qs)
    t=collections.Counter(); g=collections.Counter()
    for k in range(0,len(seen),8):
        for kind,(a,b) in score(m,seen[k:k+8],asked[k:k+8],sp).items(): g[kind]+=a; t[kind]+=b
    G,T=sum(g.values()),sum(t.values())
    if split not in("sparse","large"): docs[0]+=G; docs[1]+=T
    print(f"{split:8} {100*G/T:.1f} of {T}  "+" ".join(f"{k} {100*g[k]/t[k]:.1f}" for k in t), flush=True)
    tot+=t; good+=g
print(f"documents {100*docs[0]/docs[1]:.1f} of {docs[1]}")
print("items", 100*good["items"]/tot["items"], "total", 100*good["total"]/max(1,tot["total"]))
